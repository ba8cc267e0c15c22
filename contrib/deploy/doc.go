// Package deploy tests what lies beside it for running the programs somewhere:
// Dockerfile, compose file and Helm chart, without a container engine or a
// cluster. It is a module of its own so that nothing else here depends on the
// parsers of Docker, Compose, Helm and Kubernetes.
package deploy
