//! What is odd in a stream of templates, or in the sessions they form.
//!
//! Three ways. [`session`] looks at whole sessions (a block, a request, a container): which events it had and how
//! often, against sessions that went well. [`stream`] looks at one source over time: templates never seen before,
//! rates that change, heart-beats that stop, values out of their range. [`line`] gives each line of a file a score
//! against another file. None reads a clock; all learn from normal data only.

pub mod collect;
pub mod line;
pub mod session;
pub mod stream;
