"""Carries TFTP's blocks, in processes beside the daemon: what has to be fast lives here, what is decided does not.

A packet of a lock-step transfer costs about ten microseconds of system calls. A turn of Twisted's reactor would double
that, and a rack that boots would keep DHCP and HTTP waiting for it. So the daemon keeps the port and the decisions
(``daemon.tftp``) and hands each transfer, as an open file and its terms, to one of these processes, which run a loop of
epoll(7) around ``planning.tftp.Transfer`` and nothing else. They import no Twisted, open no files and know no names;
they end when the daemon's end of their channel closes, however it died.
"""
