"""Looking at endpoints from here without logging in: who answers, who came back."""
