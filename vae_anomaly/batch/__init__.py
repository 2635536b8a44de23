"""Tables in files: reading and typing them, scoring them part by part, and writing the scores."""
