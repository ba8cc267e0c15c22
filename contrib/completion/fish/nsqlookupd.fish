# Completion of nsqlookupd for fish. Written by "make generate" from the flags of nsqlookupd.

complete -c nsqlookupd -f
complete -c nsqlookupd -l log-level -o log-level -x -a 'debug info warn error fatal' -d 'least level that is logged: debug, info, warn, error or fatal'
complete -c nsqlookupd -l log-format -o log-format -x -a 'text json' -d 'how log lines look: text, or json for one object a line'
complete -c nsqlookupd -l log-prefix -o log-prefix -x -d 'start of every log line in format text'
complete -c nsqlookupd -l tcp-address -o tcp-address -x -d 'listen for nsqd on this host:port'
complete -c nsqlookupd -l http-address -o http-address -x -d 'listen for HTTP on this host:port: for consumers, nsqadmin and everybody else who looks up'
complete -c nsqlookupd -l broadcast-address -o broadcast-address -x -d 'host under which every nsqd reaches --http-address'
complete -c nsqlookupd -l inactive-producer-timeout -o inactive-producer-timeout -x -d 'time without a ping after which an nsqd is not listed any more'
complete -c nsqlookupd -l tombstone-lifetime -o tombstone-lifetime -x -d 'time for which a tombstone hides an nsqd as producer of a topic'
complete -c nsqlookupd -l config -o config -r -F -d 'TOML file with options'
complete -c nsqlookupd -l strict-config -o strict-config -d 'a key of the config file that means nothing is an error, not a warning'
complete -c nsqlookupd -l verbose -o verbose -d 'no effect, kept for existing scripts'
complete -c nsqlookupd -l version -o version -d 'print the version and exit'
