# Completion of nsq_to_nsq for fish. Written by "make generate" from the flags of nsq_to_nsq.

complete -c nsq_to_nsq -f
complete -c nsq_to_nsq -l channel -o channel -x -d 'channel to subscribe to'
complete -c nsq_to_nsq -l consumer-opt -o consumer-opt -x -d 'option,value of the client library'
complete -c nsq_to_nsq -l destination-nsqd-tcp-address -o destination-nsqd-tcp-address -x -d 'host:port of an nsqd to publish to'
complete -c nsq_to_nsq -l destination-topic -o destination-topic -x -d 'topic to publish to'
complete -c nsq_to_nsq -l lookupd-http-address -o lookupd-http-address -x -d 'host:port or URL of an nsqlookupd that knows the nsqds'
complete -c nsq_to_nsq -l max-in-flight -o max-in-flight -x -d 'how many messages of a topic may be on their way'
complete -c nsq_to_nsq -l mode -o mode -x -a 'round-robin hostpool epsilon-greedy all' -d 'which of several destinations gets a message: round-robin (in turn), hostpool (in turn, without those that failed lately), epsilon-greedy (the faster ones more often) or all (every destination gets every message)'
complete -c nsq_to_nsq -l nsqd-tcp-address -o nsqd-tcp-address -x -d 'host:port of an nsqd'
complete -c nsq_to_nsq -l producer-opt -o producer-opt -x -d 'option,value of the client library'
complete -c nsq_to_nsq -l require-json-field -o require-json-field -x -d 'pass on only messages that are JSON objects with this field'
complete -c nsq_to_nsq -l require-json-value -o require-json-value -x -d 'and this value of the required field, a string or a number'
complete -c nsq_to_nsq -l status-every -o status-every -x -d 'log how long publishing took after so many messages, 0 for never'
complete -c nsq_to_nsq -l topic -o topic -x -d 'topic to take messages from'
complete -c nsq_to_nsq -l version -o version -d 'print the version and exit'
complete -c nsq_to_nsq -l whitelist-json-field -o whitelist-json-field -x -d 'pass on only this field of messages that are JSON objects'
