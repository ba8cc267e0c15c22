//go:build !unix

package main

func ignoreSizeLimit() {} // there is none
