"""Takes secrets out of text before the text becomes an event, a screen, a file or an exception.

A secret is looked for in every spelling that tools give it on the way. This room only knows the
secrets it is given; it reads no file and keeps nothing.
"""

from outagekit.redaction.logs import RedactingFilter
from outagekit.redaction.redactor import RedactingStream, Redactor, Secret

__all__ = ["RedactingFilter", "RedactingStream", "Redactor", "Secret"]
