"""Whom the technician believes: keys shown, asked about, replaced, and every act recorded."""
