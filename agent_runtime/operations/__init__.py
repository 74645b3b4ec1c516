"""What can be done, one verb a file. Each is a plain function of one transaction that changes state, records the event
and enqueues what is to be shown, or raises and changes nothing."""
