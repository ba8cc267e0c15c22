# Completion of nsq_store for fish. Written by "make generate" from the flags of nsq_store.

complete -c nsq_store -f
complete -c nsq_store -l data-path -o data-path -x -a '(__fish_complete_directories)' -d 'directory that is the --data-path of the nsqd'
complete -c nsq_store -l json -o json -d 'print what info tells as JSON'
complete -c nsq_store -l to -o to -x -a '(__fish_complete_directories)' -d 'new directory for what export writes'
complete -c nsq_store -l version -o version -d 'print the version and exit'
