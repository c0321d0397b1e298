package config

// Hold says how holds are released.
type Hold struct {
	// TwoPeople lets a hold go only when a second person releases it, too.
	TwoPeople bool `yaml:"two_people" env:"TWO_PEOPLE"`
}
