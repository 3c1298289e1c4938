//! The judge finds what is wrong in a history, and nothing in one that is right.
