package auth

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// AddressOf is where a request came from: the peer or, if that is a trusted proxy, what
// it says of its own peer, and so on for as many proxies as there are in front of CDDS. An
// address further to the left is what a client claims.
func (s *Service) AddressOf(r *http.Request) string {
	addr, ok := addressIn(r.RemoteAddr)
	if !ok {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for n := 1; n <= s.ProxyHops && n <= len(hops) && s.trusts(addr); n++ {
		before, ok := addressIn(hops[len(hops)-n])
		if !ok {
			break
		}
		addr = before
	}
	return addr.String()
}

func (s *Service) trusts(addr netip.Addr) bool {
	for _, p := range s.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// addressIn reads an address as peers and proxies write it: with a port or without, IPv6
// in brackets or not.
func addressIn(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return addr.Unmap().WithZone(""), err == nil
}

// NetworkOf is the network that a request came from, which is throttled as one: an IPv4
// address, or the /64 that one IPv6 subscriber can take any address of.
func (s *Service) NetworkOf(r *http.Request) string { return prefixOf(s.AddressOf(r), 32, 64) }

// siteOf is a wider network, of addresses that are often had together: an IPv4 /24, an
// IPv6 /48.
func siteOf(address string) string { return prefixOf(address, 24, 48) }

func prefixOf(address string, bits4, bits6 int) string {
	addr, ok := addressIn(address)
	if !ok {
		return address
	}
	bits := bits6
	if addr.Is4() {
		bits = bits4
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return address
	}
	return p.String()
}
