//! What is odd in a stream of templates, or in the sessions they form.
//!
//! Two ways. [`session`] looks at whole sessions (a block, a request, a container): which events it had and how
//! often, against sessions that went well. [`stream`] looks at one source over time: templates never seen before,
//! rates that change, heart-beats that stop, values out of their range. Neither reads a clock; both learn from
//! normal data only and can be told what is known and harmless.

pub mod session;
pub mod stream;
