# Everything is done by `cargo xtask`; this installs what cargo itself needs and knows the names.

.PHONY: help setup build test demo bench fmt
.DEFAULT_GOAL := help

help:
	@echo 'make demo    a stock kernel refuses what policies forbid, in a virtual machine'
	@echo 'make test    every check and test; closes with N passed, N failed, N skipped'
	@echo 'make build   the static programs, optimised'
	@echo 'make bench   what enforcement costs'
	@echo 'make fmt     format the sources'
	@echo 'make setup   only install what is missing on this machine'

setup:
	@build/setup

build: setup
	@cargo xtask build --release

test: setup
	@cargo xtask test

demo: setup
	@cargo xtask demo

bench: setup
	@cargo xtask bench

fmt:
	@cargo fmt --all
