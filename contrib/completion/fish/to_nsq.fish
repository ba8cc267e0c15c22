# Completion of to_nsq for fish. Written by "make generate" from the flags of to_nsq.

complete -c to_nsq -f
complete -c to_nsq -l delimiter -o delimiter -x -d 'the single byte that ends a message and is not part of it, as in --delimiter=, or --delimiter=$\'\\t\''
complete -c to_nsq -l nsqd-tcp-address -o nsqd-tcp-address -x -d 'host:port of an nsqd that gets every message'
complete -c to_nsq -l producer-opt -o producer-opt -x -d 'option,value of the client library'
complete -c to_nsq -l progress -o progress -d 'show messages, bytes, rate and elapsed time if stderr is a terminal'
complete -c to_nsq -l rate -o rate -x -d 'messages per second, below 1 for as many as possible'
complete -c to_nsq -l topic -o topic -x -d 'topic to publish to'
complete -c to_nsq -l version -o version -d 'print the version and exit'
