//! What all modules lean on: arguments, programs, files, accounts, results.

pub(crate) mod accounts;
pub(crate) mod args;
pub(crate) mod attributes;
pub(crate) mod check;
pub(crate) mod convert;
pub(crate) mod edit;
pub(crate) mod expand;
pub(crate) mod files;
pub(crate) mod hash;
pub(crate) mod http;
pub(crate) mod mode;
pub(crate) mod pattern;
pub(crate) mod program;
pub(crate) mod python;
pub(crate) mod replace;
pub(crate) mod result;
pub(crate) mod status;
pub(crate) mod task;
pub(crate) mod tls;
pub(crate) mod words;

pub(crate) use args::Args;
pub(crate) use result::{Done, Fail, Result, ResultExt, fail, map, plain};
pub(crate) use task::Task;
