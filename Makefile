# CDDS. `make demo` shows it, `make test` proves it, `make up` runs it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# No cgo: one static binary; the embedded ClickHouse is loaded at run time.
export CGO_ENABLED := 0
TOOLS := $(CURDIR)/.tools
GOLANGCI_LINT := $(TOOLS)/golangci-lint
GOLANGCI_LINT_VERSION := v2.15.0
SOURCES := $(shell find . -name '*.go' -not -name '*_test.go' -not -path './.*') $(shell find schemas pipeline ops -name '*.sql' -o -name '*.json') go.mod go.sum

.PHONY: help
help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

bin/cdds: $(SOURCES)
	@echo "building bin/cdds"
	@go build -trimpath -o $@ .

.PHONY: build
build: bin/cdds ## build bin/cdds

# What production runs: the service without the embedded stack.
bin/cdds-production: $(SOURCES)
	@go build -tags production -trimpath -ldflags='-s -w -buildid=' -o $@ .

.PHONY: reference
reference: ## write ops/docs/cli.md, the page of every command, from the commands
	@go run ./ops/tools/reference -markdown ops/docs/cli.md

.PHONY: site
site: ## write the documentation as a web site into dist/docs; `cdds up` serves the same at /docs/
	@go run ./ops/tools/site -out dist/docs

# What a receiver installs, for each system it is built for.
.PHONY: receivers
receivers: ## build the receiver's program for Linux, macOS and Windows into bin/receivers
	@ops/tools/receivers bin/receivers

.PHONY: demo
demo: system-tools bin/cdds ## everything once, on sample data, with the proof
	@bin/cdds demo

.PHONY: up
up: bin/cdds ## run the whole system on this machine until interrupted
	@bin/cdds up

.PHONY: test
test: system-tools browser-tools ## every test: unit, property, fuzz seeds, embedded integration, the console in a browser
	go test -timeout 15m ./...

# The packages whose tests use the stack, and those of what only real services have.
REAL := ./ops/app ./ops/proof/real ./ops/proof/clients ./pipeline/... ./consumers/...
.PHONY: test-real
test-real: system-tools client-tools ## the tests again, on Apache Kafka and MinIO (RUN=regexp for some)
	@ops/proof/real/with go test -count=1 -timeout 20m $(if $(RUN),-run '$(RUN)') $(REAL)

.PHONY: chaos-real
chaos-real: bin/cdds ## make chaos, on Apache Kafka and MinIO
	@ops/proof/real/with go run ./ops/proof/chaos --bin bin/cdds --for $(or $(FOR),5m) --seed $(or $(SEED),0)

.PHONY: real-services
real-services: ## fetch Apache Kafka, ZooKeeper and MinIO for test-real
	@ops/proof/real/with true

.PHONY: test-race
test-race: system-tools ## the tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -timeout 25m ./...

.PHONY: chaos
chaos: bin/cdds ## break it on purpose for FOR=5m (SEED=n repeats a run) and check every promise
	@go run ./ops/proof/chaos --bin bin/cdds --for $(or $(FOR),5m) --seed $(or $(SEED),0)

# Three minutes; OUTAGE=5m MINUTE=30s is the whole thing, in half an hour.
.PHONY: day
day: bin/cdds ## an operator's day: install, upgrade, lose services, rotate every secret, fire an administrator; nothing may be lost
	@ops/tools/install prometheus || echo "no Prometheus: alerts are not looked at"
	@go run ./ops/proof/day --bin bin/cdds --before "$(or $(BEFORE),bin/cdds)" --outage $(or $(OUTAGE),20s) --minute $(or $(MINUTE),2s)

# One task a core; a seed is one history. SEED=0 begins with a new seed.
.PHONY: simulate
simulate: ## check every promise about rows in thousands of made-up histories for FOR=5m (SEED=n repeats them)
	@go test ./ops/proof/simulate -count=1 -timeout 0 -v -run '^TestHistories$$' -args -tasks $(or $(TASKS),$(shell nproc)) -for $(or $(FOR),5m) -seed $(or $(SEED),0)

.PHONY: mutation
mutation: system-tools ## take the mechanism behind each promise away (ONLY=word) and see its test fail
	@go run ./ops/proof/mutation -only "$(ONLY)"

.PHONY: bench
bench: bin/cdds ## measure against what people would use instead (ROWS=n RUNS=n ONLY=export,...); about half an hour
	@ops/tools/install openssl zip pigz curl
	@ops/tools/bento || echo "no Bento: ingest is not compared with it"
	@go run ./ops/proof/bench --bin bin/cdds --rows $(or $(ROWS),1000000) --runs $(or $(RUNS),3) --only "$(ONLY)" --bento "$$(ls .tools/bento 2>/dev/null)" --out ops/docs

# On demand: PARTS=1000 takes a minute, 100000 an hour on a machine with other work. DIR=... keeps the data, and goes
# on with it after an interruption.
.PHONY: parts
parts: bin/cdds ## make one export of PARTS=100000 parts end to end, and measure every page and call about it
	@go run ./ops/proof/scale --bin bin/cdds --parts $(or $(PARTS),100000) --dir "$(DIR)"

.PHONY: waiting
waiting: bin/cdds ## have WAITING=10000 exports of 50 tenants wait in one partition; measure cancels, others' exports, restarts
	@go run ./ops/proof/scale --bin bin/cdds --waiting $(or $(WAITING),10000)

# On demand, not in every build: it takes minutes. What each hot path may cost is in budget.json.
.PHONY: budget
budget: ## compare the hot paths with the commit before (AGAINST=commit ONLY=text ROUNDS=n); fails over a tenth more
	@go run ./ops/proof/budget --against "$(or $(AGAINST),HEAD~1)" --only "$(ONLY)" --rounds $(or $(ROUNDS),6)

.PHONY: test-api
test-api: bin/cdds ## send the HTTP API what its document allows and what not (schemathesis, from PyPI)
	@ops/tools/test-api

.PHONY: lint
lint: $(GOLANGCI_LINT) ## format, vet, layers, comments
	$(GOLANGCI_LINT) run --allow-parallel-runners ./...
	@go vet -tags production . ./ops/cli && go vet -tags receiver . ./ops/cli
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }

$(GOLANGCI_LINT):
	@echo "installing golangci-lint $(GOLANGCI_LINT_VERSION) into .tools"
	@GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

.PHONY: system-tools
system-tools: ## check that openssl and unzip are there, installing them where apt can
	@ops/tools/install openssl unzip

.PHONY: client-tools
client-tools: ## install other people's clients (kcat, Python, Java, aws, gpgsm, NSS, ...) for ops/proof/clients
	@ops/tools/clients

# Tests of the console need them, and are skipped without.
.PHONY: browser-tools
browser-tools:
	@ops/tools/install chromium || echo "no Chromium: tests of the console in a browser are skipped"
	@ops/tools/axe || echo "no axe-core: pages are not checked for accessibility"

.PHONY: screenshots
screenshots: system-tools browser-tools ## a picture of every page of the console and of every dashboard, light, dark and on a phone, in .screenshots
	@ops/tools/install prometheus || echo "no Prometheus: dashboards are not drawn"
	go test ./ops/app -count=1 -run 'InABrowser|EveryPanel' -screenshots $(CURDIR)/.screenshots

.PHONY: supply-chain
supply-chain: ## reproducible build, licences, known vulnerabilities; results in dist
	@ops/tools/supply-chain

.PHONY: release
release: ## build what a release consists of into dist/VERSION (VERSION=v1.2.3)
	@ops/tools/release "$(VERSION)"

.PHONY: clean
clean: ## remove what was built; data of the embedded stack stays
	rm -rf bin dist
