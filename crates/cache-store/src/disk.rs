//! stub
use std::future::Future; use std::pin::Pin; use std::task::{Context,Poll};
use bytes::Bytes; use holm_model::ids::Seq; use crate::marks::Local;
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp { pub seq: Seq, pub local: Local }
impl Stamp { pub fn covers(&self, o: Self) -> bool { self.seq >= o.seq && self.local >= o.local } }
pub struct Record { pub key: u128, pub stamp: Stamp, pub scope: Bytes, pub meta: Bytes, pub body: Bytes }
pub struct SweepEntry<'a> { pub key: u128, pub stamp: Stamp, pub scope: &'a [u8] }
#[derive(Debug, Clone, Default)] pub struct DiskStats { pub objects: u64 }
pub enum Disk {}
pub enum Reading {}
impl Future for Reading { type Output = Option<Record>; fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Record>> { Poll::Ready(None) } }
impl Disk {
 pub fn contains(&self, _: u128) -> bool { false }
 pub fn read(&self, _: u128) -> Option<Reading> { None }
 pub fn offer(&self, _: Record) -> bool { false }
 pub async fn write(&self, _: Record) -> bool { false }
 pub fn remove(&self, _: u128) {} pub fn clear(&self) {} pub fn close(&self) {}
 pub fn sweep(&self, _: Stamp, _: &mut dyn FnMut(&SweepEntry<'_>) -> bool) {}
 pub fn stats(&self) -> DiskStats { DiskStats::default() }
}
