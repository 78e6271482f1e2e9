"""What a Job and its pod say happened, in one line. Pure: no I/O, no clock."""
