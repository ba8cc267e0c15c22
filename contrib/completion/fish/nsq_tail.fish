# Completion of nsq_tail for fish. Written by "make generate" from the flags of nsq_tail.

complete -c nsq_tail -f
complete -c nsq_tail -l channel -o channel -x -d 'channel to subscribe to'
complete -c nsq_tail -l consumer-opt -o consumer-opt -x -d 'option,value of the client library'
complete -c nsq_tail -l lookupd-http-address -o lookupd-http-address -x -d 'host:port or URL of an nsqlookupd that knows the nsqds'
complete -c nsq_tail -l max-in-flight -o max-in-flight -x -d 'how many messages of a topic nsqd may send ahead'
complete -c nsq_tail -l n -o n -x -d 'number of messages of a topic after which to stop, 0 for no limit'
complete -c nsq_tail -l nsqd-tcp-address -o nsqd-tcp-address -x -d 'host:port of an nsqd'
complete -c nsq_tail -l print-topic -o print-topic -d 'print the topic before each message'
complete -c nsq_tail -l topic -o topic -x -d 'topic to print the messages of'
complete -c nsq_tail -l version -o version -d 'print the version and exit'
