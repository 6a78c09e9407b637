"""Real Linux machines for tests and for trying the tool by hand; Linux and root only.

A machine is a set of namespaces with an own root file system in memory, laid over the files of
the system it runs on: own address, machine id, boot id, processes, accounts, sshd, packages.
Nothing it does reaches the system below, and nothing of it is left once the process that started
it is gone, however it went. It is no sandbox: it can read the files below.
"""
