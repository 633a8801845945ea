//! What a route asks of its caller.

/// The permission of a route. There is no default: the table cannot be written without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Anyone who reaches the port: liveness and the console's own files, which say nothing about this host.
    Public,
    /// Reads state. `Host` is checked; the token where reading needs it.
    Read,
    /// Reads what is kept from other users of this host, such as outputs of commands on other hosts. As `Read`, and always
    /// with the token: loopback alone is no secret keeper.
    Private,
    /// Holds a connection open and is told what happens. As `Read`, with `Origin` and an exact `Host`.
    Stream,
    /// Brings samples. As `Read`, with `Origin`: a page of another site must not write into the store.
    Push,
    /// Changes something. Token, exact `Host`, `Origin`, and JSON when there is a body.
    Act,
}
