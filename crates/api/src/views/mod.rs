//! The JSON that the API gives. Types of their own, so that the model can be renamed freely.

pub(crate) mod change;
pub(crate) mod incident;
pub(crate) mod learned;
pub(crate) mod overview;
