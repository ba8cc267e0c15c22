// Package gonsq is the program with go-nsq.
package gonsq
