"""What a beat is, how a record becomes a beat or a reason why it is none, and files of beats."""
