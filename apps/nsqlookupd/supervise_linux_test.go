package main

import "testing"

func TestServiceManager(t *testing.T) { process.CheckServiceManager(t) }
