//! A queue for what mostly comes one at a time.

use std::collections::VecDeque;

/// A queue that allocates nothing while it holds one thing at a time.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// What was pushed while the queue was empty.
    first: Option<T>,
    rest: VecDeque<T>,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Queue { first: None, rest: VecDeque::new() }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        if self.is_empty() {
            self.first = Some(item);
        } else {
            self.rest.push_back(item);
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.first.take().or_else(|| self.rest.pop_front())
    }

    /// Puts something before everything else.
    pub(crate) fn push_front(&mut self, item: T) {
        if let Some(second) = self.first.replace(item) {
            self.rest.push_front(second);
        }
    }

    #[inline]
    pub(crate) fn first_mut(&mut self) -> Option<&mut T> {
        self.first.as_mut().or_else(|| self.rest.front_mut())
    }

    #[inline]
    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.rest.back_mut().or(self.first.as_mut())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }

    /// Forgets everything, and the memory for it. Mostly there is none.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.first = None;
        if self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
    }

    /// Forgets all but the first.
    pub(crate) fn keep_first(&mut self) {
        self.rest.truncate(usize::from(self.first.is_none()));
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue::new()
    }
}
