//! Templates of log lines, mined in one pass, and what is odd about them.
mod lex;
mod mask;
mod normal;
