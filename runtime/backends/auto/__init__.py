"""``--backend auto``: candidates, their trial, and the choice."""
