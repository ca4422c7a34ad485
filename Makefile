# make test         everything that can be tested here; what cannot is named
# make lint         format, clippy and documentation, warnings denied
# make licences     licences, bans and sources of every dependency
# make conformance  three minutes of alerts held against the specification, with a checker kept elsewhere
# make simulate     SEEDS (5000) stories of a fleet in a faulty world, killed at any moment, on all processors
# make kill         the real process killed KILLS (300) times while alerts fire and resolve
# make bench        what reading and deciding cost on this machine, and how soon a message goes

CARGO ?= cargo
# Tests talk to servers on loopback; a proxy must not come between.
export NO_PROXY := 127.0.0.1,localhost,$(NO_PROXY)
export no_proxy := $(NO_PROXY)

CHECK_SENDER ?= ../shared/tools/peer_prometheus/check_sender.py

.PHONY: test tools lint licences conformance simulate kill bench clean

test: tools
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --locked --no-fail-fast && $(CARGO) test --locked --doc; \
	else \
		$(CARGO) test --locked --no-fail-fast; \
	fi
	@tests/servers/prepare report

# Python with aiosmtpd, promtool and Alertmanager under target/; never fails, says what is missing.
tools:
	@tests/servers/prepare

# The documentation is for those who work on it: private items are in it and may be linked to.
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" $(CARGO) doc --locked --no-deps --document-private-items

licences:
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install cargo-deny --locked --debug
	$(CARGO) deny --locked check bans licenses sources

conformance:
	$(CARGO) build --locked
	@examples/conformance/run target/debug/evenkeel "$(CHECK_SENDER)"

SEEDS ?= 5000
simulate:
	EVENKEEL_SEEDS=$(SEEDS) $(CARGO) test --locked --release --test simulation -- --nocapture

KILLS ?= 300
kill:
	EVENKEEL_KILLS=$(KILLS) $(CARGO) test --locked --test live kill:: -- --nocapture

# Alone first, then as whole processes: records per second of CPU time and peak memory; a hundred rules over
# ten thousand agents; from a line in a file to its message at a webhook.
bench:
	$(CARGO) bench --locked --bench ingest --bench engine
	$(CARGO) build --locked --release --bin evenkeel --examples
	@for millions in 1 5; do \
		file=target/fleet-$${millions}m.jsonl; \
		target/release/examples/generate --agents 1000 --records $${millions}000000 --span $${millions}d >$$file; \
		target/release/examples/throughput --read-only $$file; \
		target/release/examples/throughput $$file; \
		rm $$file; \
	done
	target/release/examples/many_rules
	target/release/examples/latency

clean:
	$(CARGO) clean
