"""seq2seq VERB …: arguments in, an exit code out. One file a verb, all of one shape (see ``verbs``)."""
