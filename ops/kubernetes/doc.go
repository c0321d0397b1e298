// Package kubernetes holds the kustomize base of CDDS and the tests that keep it true:
// every field known to Kubernetes, every role of the binary deployed, every port one that
// the role listens on. There is no code.
package kubernetes
