//! How much heap a value owns.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::mem::size_of;

use crate::json::{Json, Number, Object};

/// Bytes owned on the heap, outside the value itself.
///
/// The estimate counts what was asked of the allocator, capacity included, and
/// lies within 20 % of it for the payload types of this crate. Queues bound
/// their memory by it, so a type with a wrong estimate breaks its host's bound.
///
/// One limit: the nodes of a `BTreeMap` cannot be seen. A map that is not part
/// of a larger payload, has more than 30 entries and was collected at once says
/// up to 45 % more than it holds; no map says over 20 % less.
pub trait HeapSize {
    /// Bytes owned on the heap.
    fn heap_size(&self) -> usize;
}

/// For types that own nothing.
macro_rules! no_heap {
    ($($type:ty),* $(,)?) => {
        $(impl $crate::HeapSize for $type {
            #[inline]
            fn heap_size(&self) -> usize {
                0
            }
        })*
    };
}

/// The sum over the fields that can own something.
macro_rules! heap_of {
    ($($type:ty { $($field:ident),* $(,)? })*) => {
        $(impl $crate::HeapSize for $type {
            fn heap_size(&self) -> usize {
                0 $(+ $crate::HeapSize::heap_size(&self.$field))*
            }
        })*
    };
}

pub(crate) use {heap_of, no_heap};

no_heap!((), bool, char, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, f32, f64, Number, &'static str);
no_heap!(crate::SchemaVersion, crate::Kind, crate::RunId);

impl HeapSize for String {
    #[inline]
    fn heap_size(&self) -> usize {
        self.capacity()
    }
}

impl HeapSize for Cow<'static, str> {
    #[inline]
    fn heap_size(&self) -> usize {
        match self {
            Cow::Borrowed(_) => 0,
            Cow::Owned(text) => text.capacity(),
        }
    }
}

impl HeapSize for bytes::Bytes {
    /// The bytes in view. Shared and static bytes count in full for each holder.
    fn heap_size(&self) -> usize {
        self.len()
    }
}

impl<T: HeapSize> HeapSize for Option<T> {
    #[inline]
    fn heap_size(&self) -> usize {
        self.as_ref().map_or(0, HeapSize::heap_size)
    }
}

impl<T: HeapSize + ?Sized> HeapSize for Box<T> {
    fn heap_size(&self) -> usize {
        size_of_val(&**self) + (**self).heap_size()
    }
}

impl<T: HeapSize> HeapSize for Vec<T> {
    fn heap_size(&self) -> usize {
        self.capacity() * size_of::<T>() + self.iter().map(HeapSize::heap_size).sum::<usize>()
    }
}

impl<T: HeapSize> HeapSize for [T] {
    fn heap_size(&self) -> usize {
        self.iter().map(HeapSize::heap_size).sum()
    }
}

impl HeapSize for str {
    fn heap_size(&self) -> usize {
        0
    }
}

/// Entries of a leaf of the standard library's B-tree.
const LEAF: usize = 11;

/// Entries for each leaf of a tree with more than one. A map filled entry by
/// entry in order has 7, one collected at once 12, and nothing tells them apart;
/// 8 says too much rather than too little.
const DENSITY: usize = 8;

impl<K: HeapSize, V: HeapSize> HeapSize for BTreeMap<K, V> {
    fn heap_size(&self) -> usize {
        let owned: usize = self.iter().map(|(key, value)| key.heap_size() + value.heap_size()).sum();
        let leaf = LEAF * (size_of::<K>() + size_of::<V>()) + 16;
        let inner = leaf + (LEAF + 1) * size_of::<usize>();
        let nodes = match self.len() {
            0 => 0,
            1..=LEAF => leaf,
            len => {
                let leaves = len.div_ceil(DENSITY).max(2);
                leaves * leaf + leaves.div_ceil(DENSITY) * inner
            }
        };
        owned + nodes
    }
}

impl HeapSize for Json {
    fn heap_size(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => 0,
            Self::String(text) => text.capacity(),
            Self::Array(items) => items.heap_size(),
            Self::Object(object) => object.heap_size(),
        }
    }
}

impl HeapSize for Object {
    fn heap_size(&self) -> usize {
        let entries = self.entries();
        entries.capacity() * size_of::<(String, Json)>()
            + entries.iter().map(|(key, value)| key.capacity() + value.heap_size()).sum::<usize>()
    }
}
