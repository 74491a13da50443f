"""Pictures for people: plain arrays come in; nothing here knows torch."""
