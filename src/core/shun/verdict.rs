//! What the survivors' answers prove of the node that they were told to refuse.
