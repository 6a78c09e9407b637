"""The person's SSH config (`~/.ssh/config`), read as `ssh` itself reads it.

`files` loads the files, `local` knows this machine and its user; everything else is pure: text and
facts in, values out. No connection is made here and no name is looked up.
"""
