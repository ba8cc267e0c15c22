package tool

import "flag"

// ConsumerOptFlag adds the flag that sets options of a tool's consumers; value
// is the ConfigFlag of their configuration. What the tool sets in it once the
// flags are parsed, such as the user agent, is not the user's to choose.
func ConsumerOptFlag(fs *flag.FlagSet, value flag.Value) { optFlag(fs, "consumer-opt", value) }

// ProducerOptFlag is ConsumerOptFlag for a tool's producers.
func ProducerOptFlag(fs *flag.FlagSet, value flag.Value) { optFlag(fs, "producer-opt", value) }

func optFlag(fs *flag.FlagSet, name string, value flag.Value) {
	fs.Var(value, name, "`option,value` of the client library (may be given several times)")
}
