# Completion of nsq_stat for fish. Written by "make generate" from the flags of nsq_stat.

complete -c nsq_stat -f
complete -c nsq_stat -l channel -o channel -x -d 'channel to print the statistics of'
complete -c nsq_stat -l count -o count -x -d 'number of lines after which to stop'
complete -c nsq_stat -l http-client-connect-timeout -o http-client-connect-timeout -x -d 'how long connecting over HTTP may take'
complete -c nsq_stat -l http-client-request-timeout -o http-client-request-timeout -x -d 'how long an HTTP request may take'
complete -c nsq_stat -l interval -o interval -x -d 'how long to wait between two lines'
complete -c nsq_stat -l json -o json -d 'print every line as a JSON object, and no headings'
complete -c nsq_stat -l lookupd-http-address -o lookupd-http-address -x -d 'host:port of an nsqlookupd that knows the nsqds'
complete -c nsq_stat -l nsqd-http-address -o nsqd-http-address -x -d 'host:port of an nsqd that has the channel'
complete -c nsq_stat -l topic -o topic -x -d 'topic of the channel'
complete -c nsq_stat -l version -o version -d 'print the version and exit'
