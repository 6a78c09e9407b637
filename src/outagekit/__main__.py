"""`python -m outagekit` is `outagekit`."""

from outagekit.cli.app import main

main()
