package main

// perimeter are the mechanisms that keep strangers, people who left and mistakes of one's own
// out.
var perimeter = []mutation{
	{
		"access", "of two versions of a record the first one counts",
		"schemas/versions.go", "counts = key == r.key || number > r.number", "counts = true",
		"ops/auth", "TestADeletedUserStaysDeletedWhileItChangesItsPassword",
	}, {
		"access", "of two creations of a name the first one counts",
		"schemas/versions.go", "counts = key == r.key || number > r.number", "counts = true",
		"ops/auth", "TestOfTwoCreationsOfANameOneSucceeds",
	}, {
		"access", "a token ends with its owner",
		"ops/auth/directory.go", "owner != nil && !mayStill(owner.User, t.OwnerRevision) {", "owner == nil {",
		"ops/auth", "TestTokensEndWithTheUserThatOwnsThem",
	}, {
		"access", "disabling a user or changing its role ends its sessions and tokens",
		"ops/auth/directory.go", "return !u.Deleted && !u.Disabled && u.AccessRevision == accessRevision", "return !u.Deleted",
		"ops/auth", "TestSessionsAndTokensEndInEveryProcessWhenAUserIsDisabledOrGetsAnotherRole",
	}, {
		"access", "a one-time password serves for one sign-in",
		"ops/auth/service.go", "case !u.UsedAt.IsZero() || now.Sub(u.PasswordAt.Time) > OneTimeLife:", "case now.Sub(u.PasswordAt.Time) > OneTimeLife:",
		"ops/auth", "TestAOneTimePasswordServesForOneSignInAndExpires",
	}, {
		"access", "a process reads what others ended before it identifies anybody",
		"ops/auth/session.go", "s.asOfNow(r.Context())", "_ = s.asOfNow",
		"ops/app", "TestWhoLosesAccessThroughOneProcessHasLostItAtOnceInAnother",
	}, {
		"access", "where there was a user, the next start makes none",
		"ops/auth/accounts.go", "if !s.Directory.Unused() {", "if s.Directory == nil {",
		"ops/auth", "TestTheNextStartAfterTheLastUserWasDeletedMakesNone",
	}, {
		"access", "the addresses of an IPv6 /64 are one network",
		"ops/auth/origin.go", "prefixOf(s.AddressOf(r), 32, 64)", "prefixOf(s.AddressOf(r), 32, 128)",
		"ops/auth", "TestAddressesOfOneIPv6NetworkAreThrottledAsOne",
	}, {
		"access", "a user signs in from a site of its own while strangers guess",
		"ops/auth/throttle.go", "if crowded != nil {\n\t\tif shared", "if crowded != nil {\n\t\treturn nil, nil, crowded\n\t}\n\tif crowded != nil {\n\t\tif shared",
		"ops/auth", "TestStrangersInManyNetworksCannotKeepAUserOut",
	}, {
		"access", "only a trusted proxy says where a request came from",
		"ops/auth/origin.go", "n <= len(hops) && s.trusts(addr); n++", "n <= len(hops); n++",
		"ops/auth", "TestOnlyATrustedProxySaysWhereARequestCameFrom",
	}, {
		"access", "a body that does not come ends the connection",
		"ops/app/web.go", "ReadTimeout: bodyTimeout,", "ReadTimeout: 100 * bodyTimeout,",
		"ops/app", "TestABodyThatDoesNotComeEndsTheConnection",
	}, {
		"names", "names of artifacts are derived, not believed",
		"schemas/artifact.go", "name := PartName(entity, e.ExportID, r.Part)", "name := cmp.Or(r.Name, PartName(entity, e.ExportID, r.Part))",
		"schemas", "TestNamesAndKeysOfArtifactsAreDerivedWhateverEventsClaim",
	}, {
		"names", "words of commands are quoted",
		"ops/shell/shell.go", "strings.ReplaceAll(word, \"'\", `'\\''`)", "word",
		"ops/shell", "TestAShellTakesAQuotedWordAsItIs",
	}, {
		"names", "bidirectional characters do not reach terminals",
		"ops/cli/terminal.go", " || unicode.Is(unicode.Bidi_Control, r)", "",
		"ops/cli", "TestNamesFromStrangersDoNotDriveTheTerminal",
	}, {
		"mistakes", "a list without a value is refused",
		"ops/cli/cli.go", "len(values) == 0 || slices.Contains(values, \"\")", "len(values) > 0 && slices.Contains(values, \"no value\")",
		"ops/cli", "TestAnEmptyListIsRefusedAndDoesNotMeanEverybodyOrEverything",
	}, {
		"mistakes", "a service that comes late is awaited",
		"ops/connect/await.go", "results <- s.await(deadline, within, log)", "results <- s.Ask(deadline)",
		"ops/connect", "TestAServiceThatComesLateIsAwaitedWithOneLine",
	}, {
		"mistakes", "doctor looks for every role that the configuration implies",
		"ops/cli/doctor.go", "for _, role := range roles {", "for _, role := range roles[:0] {",
		"ops/app", "TestDoctorMissesEveryRoleThatNobodyRuns",
	}, {
		"mistakes", "help calls values by nouns",
		"ops/cli/pins.go", "certificate `file` or SHA-256", "certificate file or SHA-256",
		"ops/cli", "TestHelpCallsTheValueOfEveryFlagByANounAndThatOfASwitchByNone",
	}, {
		"account", "a block without gaps has as many positions as lie between its first and last",
		"pipeline/warehouse/missing.go", "case e.count == e.last-e.first+1:", "case e.count > 0:",
		"pipeline/warehouse", "TestMissingIsWhatAModelCounts",
	}, {
		"account", "snapshots of different incarnations are not joined",
		"consumers/export/watch.go", "if has.SameIncarnations(s) {", "if len(has) > 0 {",
		"consumers/export", "TestWhatSnapshotsHoldTogetherIsWhatEachOfThemHolds",
	}, {
		"account", "a snapshot sealed before a loss was known is of the log that it was sealed of",
		"ops/connect/offsets.go", "if offset, _ := l.Parted(p, s[p]); end >= offset {", "if offset, _ := l.Parted(p, s[p]); end < offset {",
		"ops/connect", "TestASnapshotSealedBeforeALossWasKnownGetsThePositionsOfTheLogItIsOf",
	}, {
		"export", "a plan of nothing says that its tenant is known",
		"pipeline/plan.go", "\tif !known {\n", "\tif !known && false {\n",
		"consumers/export", "TestAnExportOfNothingThatWasPlannedIsCompletedAlthoughClickHouseLostItsTenant",
	}, {
		"export", "rows that differ are cut in order",
		"pipeline/warehouse/difference.go", "ORDER BY t, id\nLIMIT 1 BY t, id`, strings.Join(named", "ORDER BY t, id`, strings.Join(named",
		"pipeline/pipelinetest", "TestThousandsOfRowsThatDifferAreCutInOrder",
	},
}
