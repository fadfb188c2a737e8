# make alone lists what there is to make.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
export CGO_ENABLED ?= 1
GOLANGCI := v2.15.0
# One for each version of either: a linter that was built with an older Go refuses a newer go.mod.
golangci = bin/tools/golangci-lint-$(GOLANGCI)-$(shell go env GOVERSION)
CONTROLLER_GEN := v0.23.0
controllergen = bin/tools/controller-gen-$(CONTROLLER_GEN)-$(shell go env GOVERSION)
HELM := v4.3.2
helm = bin/tools/helm-$(HELM)-$(shell go env GOVERSION)
CYCLONEDX := v1.10.0
cyclonedx = bin/tools/cyclonedx-gomod-$(CYCLONEDX)-$(shell go env GOVERSION)
NFPM := v2.43.0
nfpm = bin/tools/nfpm-$(NFPM)-$(shell go env GOVERSION)
# Their versions are in go.mod of test/gitops.
GITOPS := $(shell go env GOVERSION)
argocd = bin/tools/argocd-$(GITOPS)
flux = bin/tools/flux-$(GITOPS)
# Theirs are in go.mod of test/gitops/controllers.
fluxcontroller = bin/tools/kustomize-controller-$(GITOPS)
argocontrollers = bin/tools/argocd-controllers-$(GITOPS)
# Its version is in go.mod of test/externaldns.
externaldns = bin/tools/external-dns-$(GITOPS)
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME ?= 30s
# What a find is made smaller by: by its default, a minute each, since in Go the order of maps makes one of nearly everything.
FUZZMINIMIZE ?= 100x
# How long make soak makes random histories, and the seed of the first; 0: another one each time.
HISTORIES ?= 1h
SEED ?= 0
# STRESS=8 has so many busy loops run beside the tests.
STRESS ?=
beside = $(if $(STRESS),test/tools/stress.sh $(STRESS) )
# Most of these tests wait, for others and for time: twice as many packages at once as there are processors.
e2e = $(beside)go test -count=1 -timeout 30m -p $$((2 * $$(getconf _NPROCESSORS_ONLN)))

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/fedns, bin/fedsync and bin/fedctl, which is kubectl-fedns, too
	CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/ ./cmd/...
	@ln -sf fedctl bin/kubectl-fedns && ln -sf fedctl bin/kubectl_complete-fedns

run: build ## start fedns over corefile.example, on 127.0.0.1:1053
	@echo 'fedns answers on 127.0.0.1:1053 until Ctrl-C. In another terminal, try:'
	@echo '  dig @127.0.0.1 -p 1053 nginx.mynamespace.myfederation.svc.us-central1-a.us-central1.example.com'
	@echo '  dig @127.0.0.1 -p 1053 nginx.mynamespace.myfederation.svc.europe-west1.example.com   # no pods: follows the global name'
	@echo '  dig @127.0.0.1 -p 1053 shop.example.com   # a host of Ingresses'
	@echo '  dig @127.0.0.1 -p 1053 SRV _http._tcp.nginx.mynamespace.myfederation.svc.example.com'
	@exec bin/fedns --conf corefile.example

demo: ## the life of a federation in the terminal, in clusters whose pods run if they can here, from init to its end, or with KEEP=1 until Ctrl-C
	@[ -e bin/kube/stages.yaml ] || echo 'First etcd, Kubernetes and kwok are built, once: about six minutes.'
	@$(MAKE) -s --no-print-directory kube
	@mkdir -p bin/test && sh test/kube/tell.sh 'the demo' go test -c -o bin/test/walk ./test/demo
	@exec bin/test/walk -test.run '^TestWalk' -narrate $(if $(KEEP),-keep -test.timeout 0,-test.timeout 10m)

# What decides without goroutines, as internal/imports_test.go sees to: there the race detector finds nothing, and makes
# the many rows ten times as slow.
pure = internal/dns/dnsname internal/topology internal/health internal/shard internal/table internal/snapshot internal/answer internal/override \
	internal/api/report internal/dns/cookie internal/geo internal/dns/rrl internal/dns/message internal/sync/replicas internal/sync/placement internal/sync/workload
# Tests are over when they end: the race detector has each of a hundred programs wait for a second then. Garbage is
# collected less often, which costs memory that is there, and saves a sixth of the processor's time.
unit: ## the quick tests, with the race detector; many only wait, so more of them, and of packages, at once than there are processors
	$(beside)go test $(addprefix ./,$(pure))
	GOGC=400 GORACE=atexit_sleep_ms=10 $(beside)go test -p $$((3 * $$(getconf _NPROCESSORS_ONLN))) -race -parallel 8 $$(go list ./cmd/... ./internal/... ./plugin/... | grep -vxF $(addprefix -e github.com/fedns/fedns/,$(pure)))

test: unit kube peers helm gitops nodes prometheus nfpm ## every test, real control planes and name servers included; with STRESS=8, beside as many busy loops
	$(e2e) ./test/...

e2e: kube peers helm gitops nodes prometheus nfpm ## the tests of the whole system, but for interop
	$(e2e) $$(go list ./test/... | grep -v '/dns/peers$$')

e2e-image: $(cyclonedx) $(nfpm) ## the tests of the image and of a release, each made twice for all platforms
	$(e2e:30m=90m) ./test/image -twice -cyclonedx $$(pwd -P)/$(cyclonedx)
	$(e2e:30m=90m) ./test/release -whole -cyclonedx $$(pwd -P)/$(cyclonedx)

e2e-gitops: kube gitops-controllers ## the tests of Flux's and Argo CD's own controllers over a federation, which take long to build
	$(e2e) ./test/sync/gitops

e2e-publish: kube peers externaldns ## the tests of what is published through external-dns, into BIND, a public provider and Route 53; it is built first, for ten to thirty minutes
	$(e2e) -v -run '^(TestWalk|TestRoute53)$$' ./test/dns/publish

interop: peers ## the tests among resolvers, caches and name servers of others
	$(e2e) ./test/dns/peers

check: $(golangci) $(controllergen) ## formatting, vet, linters, tidy go.mod, builds for other systems, known vulnerabilities where their list can be reached
	@test -z "$$(gofmt -l cmd internal plugin test)" || { gofmt -l cmd internal plugin test; echo 'gofmt: the files above are not formatted'; exit 1; }
	go vet ./...
	go mod tidy -diff
	for os in darwin windows; do CGO_ENABLED=0 GOOS=$$os go build -o /dev/null ./cmd/fedns || exit; done
	$(golangci) run ./...
	@test/tools/vulncheck.sh $(GOVULNCHECK)
	go run ./test/tools/picture -check
	go run ./test/tools/openapi -check
	go run ./test/tools/reference -check
	go run ./test/tools/licences -check
	go mod verify
	for m in deploy/image deploy/monitoring/board test/gitops/argocd test/gitops/flux; do (cd $$m && export GOWORK=off && test -z "$$(gofmt -l .)" && go vet ./... && go mod tidy -diff && go mod verify) || exit; done
	cd deploy/monitoring/board && GOWORK=off go run . | diff ../board.json - || { echo 'deploy/monitoring/board.json is not what its program prints: make board, and commit it'; exit 1; }
	test/tools/generate.sh $(controllergen) -check

$(golangci):
	@echo 'First golangci-lint $(GOLANGCI) is built, once: about two minutes.'
	@mkdir -p $(@D) && GOBIN=$$(pwd -P)/$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	@mv $(@D)/golangci-lint $@

$(controllergen):
	@mkdir -p $(@D) && GOBIN=$$(pwd -P)/$(@D) go install sigs.k8s.io/controller-tools/cmd/controller-gen@$(CONTROLLER_GEN)
	@mv $(@D)/controller-gen $@

$(cyclonedx):
	@mkdir -p $(@D) && GOBIN=$$(pwd -P)/$(@D) go install -trimpath github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX)
	@mv $(@D)/cyclonedx-gomod $@

image: $(cyclonedx) ## the container image of the three programs for linux amd64 and arm64, and what it is made of, into bin/image
	@cd deploy/image && GOWORK=off go run . -root ../.. -out ../../bin/image -cyclonedx $$(cd ../.. && pwd -P)/$(cyclonedx)

licences: ## the list of modules and their licences, in docs/reference/modules.md
	go run ./test/tools/licences

bench: build kube ## the figures of docs/performance.md: change to answer, size, cost of a change and of an answer, workloads
	go test -run '^$$' -bench . -benchmem ./internal/snapshot ./internal/answer ./internal/table ./internal/source/probe ./internal/dns/message ./plugin/federation
	go test -count=1 -timeout 60m -run '^TestFigures' -v ./test/perf/bench -figures
	go test -count=1 -timeout 30m -run '^TestMembersRestart' -v ./test/perf/load -figures
	go test -count=1 -timeout 90m -run '^TestChangeToSecondaries' -v ./test/dns/peers -figures
	go test -count=1 -timeout 30m -run '^TestFigures' -v ./test/sync/operate -figures

bench-peers: build ## fedns beside other name servers: answers a second, what one costs, how long it takes
	test/peers.sh race
	go run ./test/perf/race
	go run ./test/perf/race -ways
	go run ./test/perf/race -dnssec -services 100
	go run ./test/perf/race -flood
	go run ./test/perf/race -flood -subnets -servers fedns,fedns-nearest -rounds 9 -seconds 4
	go run ./test/perf/race -flood -subnets -global -servers fedns,fedns-nearest -rounds 9 -seconds 4
	go run ./test/perf/race -matrix -seconds 2
	go run ./test/perf/race -latency -rounds 9 -seconds 4 -data bin/latency.json
	go run ./test/perf/race/plot bin/latency.json >bin/latency.svg
	@echo 'bin/latency.svg: the picture of the last part'

fuzz: ## each fuzz target for FUZZTIME (30s)
	@set -e; for p in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9]*' $$p/*_test.go | sed 's/func //'); do \
			echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime $(FUZZMINIMIZE) $$p; \
		done; \
	done

soak: kube nodes ## what takes long: 300 kills, a minute of flapping, one without an API, 100 reloads, loads, 200 plans and runs, 20,000 of them in memory, the demo in real pods, an hour of random histories of a federation (HISTORIES, and SEED to have one again), Flux's and Argo CD's controllers, each fuzz target for ten minutes
	go test -count=1 -timeout 30m ./test/perf/load -reloads 50 -figures -v -run 'TestReload|TestFullLoad|TestBystanders'
	go test -count=1 ./internal/dns/sockets -run '^TestLookBesideOthers$$' -looks 300
	go test -count=1 -timeout 30m ./test/dns/faults -run '^TestFaults' -kills 200 -flaps 1m
	go test -count=1 -timeout 30m ./test/sync/propagation -run '^TestFaults' -kills 100 -down 1m
	go test -count=1 -timeout 30m ./internal/sync/workload -rapid.seed 0 -rapid.checks 20000
	go test -count=1 -timeout 30m ./test/sync/operate -run '^TestPlan$$' -states 200 -from 0
	go test -count=1 -timeout 30m ./test/demo -run '^TestWalkInPods$$' -pods
	go test -count=1 -timeout 0 ./test/sync/propagation -run '^TestHistories$$' -v -histories $(HISTORIES) -seed $(SEED)
	go test -count=1 -timeout 30m ./test/dns/peers -run 'TestGenerated|TestRolloverOfReplicas' -zones 300 -rollovers
	$(MAKE) e2e-gitops
	$(MAKE) fuzz FUZZTIME=10m

docs: ## man pages of fedctl, into bin/man
	@go run ./test/tools/man bin/man/man1
	@echo 'bin/man: man -M bin/man fedctl shows the first'

generate: $(controllergen) ## the CustomResourceDefinitions in deploy and deep copies, from the types in internal/api/v1alpha1, and what the chart has of both
	test/tools/generate.sh $(controllergen)

board: ## the Grafana board in deploy/monitoring, and what the chart has of it
	cd deploy/monitoring/board && GOWORK=off go run . >../board.json.new && mv ../board.json.new ../board.json
	cp deploy/monitoring/board.json deploy/charts/fedns/files/board.json

openapi: ## describe the status API in internal/api/report/openapi.json, from its paths and types
	go run ./test/tools/openapi

reference: ## the tables of docs/reference that the code has: options, annotations, fields, metrics, exit codes
	go run ./test/tools/reference

helm: $(helm) ## build Helm for the tests of the chart, into bin/tools
	@ln -sf $(notdir $(helm)) bin/tools/helm

$(helm):
	@echo 'First Helm $(HELM) is built, once: two to four minutes.'
	@mkdir -p $(@D) && GOBIN=$$(pwd -P)/$(@D) go install helm.sh/helm/v4/cmd/helm@$(HELM)
	@mv $(@D)/helm $@

deb: $(nfpm) ## Debian packages for amd64 and arm64, into bin/deb
	deploy/debian/build.sh $(nfpm) $(VERSION) amd64 bin/deb
	deploy/debian/build.sh $(nfpm) $(VERSION) arm64 bin/deb

release: $(cyclonedx) $(nfpm) ## all files of RELEASE, such as 0.2.0, of which CHANGELOG.md tells, into bin/release
	@test -n '$(RELEASE)' || { echo 'say which: make release RELEASE=0.2.0'; exit 2; }
	go run ./deploy/release -version '$(RELEASE)' -nfpm $(nfpm) -cyclonedx $(cyclonedx)

# What the tests of the package need: built once.
gitops: $(argocd) $(flux) ## build what Argo CD and Flux judge objects by, for the tests of waits, into bin/tools
	@ln -sf $(notdir $(argocd)) bin/tools/argocd && ln -sf $(notdir $(flux)) bin/tools/flux

$(argocd) $(flux): bin/tools/%-$(GITOPS): $(wildcard test/gitops/argocd/* test/gitops/flux/*)
	@echo 'First what $* judges objects by is built, once: one to three minutes.'
	@mkdir -p $(@D) && cd test/gitops/$* && GOWORK=off go build -trimpath -o ../../../$@ .

gitops-controllers: $(fluxcontroller) $(argocontrollers) ## build Flux's and Argo CD's own controllers, for make e2e-gitops, into bin/tools
	@for p in $^; do ln -sf $$(basename $$p) $${p%-$(GITOPS)} && ln -sf $$(basename $$p).yaml $${p%-$(GITOPS)}.yaml || exit; done

# What each is, of which module, and the definitions of its kinds there, which it needs in the API.
$(fluxcontroller): program = github.com/fluxcd/kustomize-controller
$(fluxcontroller): module = github.com/fluxcd/kustomize-controller
$(fluxcontroller): definitions = config/crd/bases/*.yaml
$(argocontrollers): program = .
$(argocontrollers): module = github.com/argoproj/argo-cd/v3
$(argocontrollers): definitions = manifests/crds/application-crd.yaml manifests/crds/appproject-crd.yaml manifests/base/config/argocd-cm.yaml
$(fluxcontroller): $(wildcard test/gitops/controllers/flux/*)
$(argocontrollers): $(wildcard test/gitops/controllers/argocd/*)
$(fluxcontroller) $(argocontrollers):
	@echo 'First $(@F) is built, once: five to ten minutes.'
	@mkdir -p $(@D) && cd $(<D) && export GOWORK=off && go build -trimpath -ldflags '-s -w' -o $(CURDIR)/$@.new $(program) && \
		cd "$$(go list -m -f '{{.Dir}}' $(module))" && for f in $(definitions); do echo ---; cat $$f; done >$(CURDIR)/$@.yaml
	@mv $@.new $@

externaldns: $(externaldns) ## build external-dns for make e2e-publish, into bin/tools
	@ln -sf $(notdir $(externaldns)) bin/tools/external-dns

$(externaldns): $(wildcard test/externaldns/*)
	@echo 'First external-dns is built, once: ten to thirty minutes, with all SDKs that it has.'
	@mkdir -p $(@D) && cd test/externaldns && CGO_ENABLED=0 GOWORK=off go build -trimpath -ldflags '-s -w' -o ../../$@ .

nfpm: $(nfpm)
	@ln -sf $(notdir $(nfpm)) bin/tools/nfpm

$(nfpm):
	@echo 'First nfpm $(NFPM) is built, once: a minute.'
	@mkdir -p $(@D) && GOBIN=$$(pwd -P)/$(@D) go install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM)
	@mv $(@D)/nfpm $@

prometheus: ## unpack Debian's Prometheus for the tests of alerts, into bin/tools
	test/tools/prometheus.sh bin/tools/prometheus

# What is fedctl init's to say has names that say so.
hosted = --set domain=domain.invalid --set federation=federation --set image.repository=image.invalid --set image.tag=x \
	--set api.mode=elsewhere --set api.kubeconfigSecret=federation-fedns --set member.enabled=false \
	--set fedsync.enabled=true --set fedsync.kubeconfigSecret=federation-fedsync
manifests: generate helm ## deploy/manifests/fedns.yaml and deploy/hosted.yaml, from the chart
	@{ echo '# Made of the chart by make manifests, with the values of docs/install.md.'; \
	bin/tools/helm template fedns deploy/charts/fedns --namespace federation-system --set domain=fed.example.com --set federation=fed; } >deploy/manifests/fedns.yaml
	@{ echo '# Made of the chart by make manifests, for fedctl init, which says the names.'; \
	bin/tools/helm template federation-fedns deploy/charts/fedns --namespace federation-system $(hosted); } >deploy/hosted.yaml

picture: ## draw the packages in ARCHITECTURE.md, from their imports
	go run ./test/tools/picture

kube: ## build the real control planes that tests start, into bin/kube, but for what KUBEBUILDER_ASSETS=DIR has
	@taken=$$(test/kube/take.sh "$$(pwd -P)/bin/kube") && $(MAKE) -C test/kube $$taken

nodes: kube ## what clusters with real pods need beside: kubelet and kube-proxy, built, and Debian's containerd
	test/nodes.sh
	@$(MAKE) -C test/kube nodes

peers: ## install the name servers that tests ask (Debian, as root); else say which are missing
	test/peers.sh

clean: ## remove what was built
	rm -rf bin

.PHONY: help build run demo unit test e2e e2e-image e2e-gitops e2e-publish interop check image licences bench bench-peers fuzz soak docs picture openapi reference generate helm gitops gitops-controllers externaldns prometheus deb nfpm manifests nodes kube peers clean
