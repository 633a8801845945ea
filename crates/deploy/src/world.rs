//! What a deployment needs from outside: hosts, a clock, a server that is asked, somebody who listens.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use wellkept_model::{Text, TimestampMs};
use wellkept_modules::Call;

/// Where a module runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place<'a> {
    /// The machine that deploys.
    Controller,
    /// A host, by its name in the inventory.
    Host(&'a str),
}

/// What came of a module.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It ran; its result, also when it failed.
    Done(Map<String, Value>),
    /// There is no way to the host; nothing ran.
    Unreachable(String),
    /// The line broke in it; nobody knows whether it ran.
    Unknown(String),
}

/// The world around a deployment. There are two: real hosts, and folders that stand for hosts in tests.
pub trait World: Send + Sync {
    /// Runs a module. `file`: the one file of the controller that it may read.
    fn module(
        &self,
        place: Place<'_>,
        call: Call,
        file: Option<&Path>,
    ) -> impl Future<Output = Answer> + Send;

    /// The address at which a host is reached, for checks that are asked from here.
    fn address(&self, host: &str) -> String;

    /// The value of a PromQL query at the running server; `None` when it has none (no series, or no number).
    ///
    /// # Errors
    /// Why nobody answered.
    fn query(&self, query: &str) -> impl Future<Output = Result<Option<f64>, String>> + Send;

    /// The time.
    fn now(&self) -> TimestampMs;

    /// Lets time pass.
    fn wait(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Why no further batch may begin now: the stop switch, or a person at the keyboard.
    fn halted(&self) -> Option<Text>;

    /// Hears that a host has another release now, for the record of changes. `None`: it has none.
    fn changed(
        &self,
        host: &str,
        before: Option<&str>,
        after: Option<&str>,
    ) -> impl Future<Output = ()> + Send;

    /// Takes a line about what goes on.
    fn tell(&self, line: Text);
}
