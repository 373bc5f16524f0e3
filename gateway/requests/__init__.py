"""What requests share: a body and an answer within bounds, an id, patience, errors."""
