"""outagekit: plan, run, prove and log a fix on many machines.

The folder listing is the architecture. Data flows one way:
playbook + inventory -> plan -> run -> log -> what people see.
"""

__version__ = "0.1.0.dev0"
