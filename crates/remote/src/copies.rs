//! Where kept copies of files come from and go to.
//!
//! Two closures instead of a dependency: the hands need not know which store keeps the copies.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Content, owner and mode of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct FileCopy {
    /// The bytes.
    pub content: Vec<u8>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// Files hold secrets: only the length is shown.
impl fmt::Debug for FileCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileCopy({} bytes, {}:{}, {:o})", self.content.len(), self.uid, self.gid, self.mode)
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send>>;
type Find = dyn Fn(String, String, String) -> Answer<Option<FileCopy>> + Send + Sync;
type Keep = dyn Fn(String, String, FileCopy) -> Answer<()> + Send + Sync;

/// Access to the store of file copies.
#[derive(Clone)]
pub struct Copies {
    find: Arc<Find>,
    keep: Arc<Keep>,
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Copies")
    }
}

impl Copies {
    /// `find(service, path, sha256)` gives a checked copy with the owner and mode that belong to it, or `None` when
    /// none is kept. `keep(service, path, copy)` has it on disk when it returns. Errors are words for people.
    pub fn new<F, K>(
        find: impl Fn(String, String, String) -> F + Send + Sync + 'static,
        keep: impl Fn(String, String, FileCopy) -> K + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Option<FileCopy>, String>> + Send + 'static,
        K: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self {
            find: Arc::new(move |service, path, sha256| Box::pin(find(service, path, sha256))),
            keep: Arc::new(move |service, path, copy| Box::pin(keep(service, path, copy))),
        }
    }

    pub(crate) async fn find(
        &self,
        service: &str,
        path: &str,
        sha256: &str,
    ) -> Result<Option<FileCopy>, String> {
        (self.find)(service.to_owned(), path.to_owned(), sha256.to_owned()).await
    }

    pub(crate) async fn keep(&self, service: &str, path: &str, copy: FileCopy) -> Result<(), String> {
        (self.keep)(service.to_owned(), path.to_owned(), copy).await
    }
}
