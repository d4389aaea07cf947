//! Tasks, of which the seed chooses the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Wake, Waker};

use super::trace::Event;
use super::world::World;
use crate::BoxFuture;

pub(super) type TaskId = u64;

#[derive(Default)]
pub(super) struct Executor {
    last_id: TaskId,
    live: BTreeMap<TaskId, Slot>,
    ready: Arc<Ready>,
    /// The wakers of tasks that have ended, as long as somebody may hold one.
    ended: Vec<Weak<TaskWaker>>,
}

pub(super) struct Slot {
    waker: Arc<TaskWaker>,
    work: Work,
}

enum Work {
    /// What [`Sim::run`](super::Sim::run) was given, and keeps.
    Root,
    Waiting(BoxFuture<()>),
    /// Whoever polls it has the future.
    Running,
}

/// Tasks that are to be polled, each once.
#[derive(Default)]
struct Ready(Mutex<Vec<TaskId>>);

impl Ready {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<TaskId>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) struct TaskWaker {
    id: TaskId,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.with(|ready| ready.push(self.id));
        }
    }
}

/// A task that was taken out to be polled.
pub(super) struct Task {
    pub(super) id: TaskId,
    future: BoxFuture<()>,
    waker: Arc<TaskWaker>,
}

impl Task {
    /// Polls it: is it done?
    pub(super) fn poll(&mut self) -> bool {
        let waker = Waker::from(Arc::clone(&self.waker));
        self.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }
}

/// What is to be polled next.
pub(super) enum Next {
    Root(TaskId, Waker),
    Task(Task),
    /// Nothing is ready.
    Idle,
}

impl Executor {
    /// How many tasks were spawned and have not ended.
    pub(super) fn tasks(&self) -> usize {
        self.live.values().filter(|slot| !matches!(slot.work, Work::Root)).count()
    }

    pub(super) fn stale_wakers(&self) -> usize {
        self.ended.iter().map(Weak::strong_count).sum()
    }

    fn start(&mut self, work: Work) -> TaskId {
        self.last_id += 1;
        let id = self.last_id;
        let waker =
            Arc::new(TaskWaker { id, queued: AtomicBool::new(false), ready: Arc::clone(&self.ready) });
        waker.wake_by_ref();
        self.live.insert(id, Slot { waker, work });
        id
    }
}

impl World {
    pub(super) fn start_root(&mut self) -> TaskId {
        self.executor.start(Work::Root)
    }

    pub(super) fn spawn(&mut self, future: BoxFuture<()>) {
        let id = self.executor.start(Work::Waiting(future));
        self.trace.note(self.clock.now(), Event::Spawned(id));
    }

    /// Takes one of the ready tasks, by chance.
    pub(super) fn next_task(&mut self) -> Next {
        loop {
            let random = &mut self.random;
            let chosen = self
                .executor
                .ready
                .with(|ready| (!ready.is_empty()).then(|| ready.swap_remove(random.below(ready.len()))));
            let Some(id) = chosen else { return Next::Idle };
            // One that was woken after its end is nobody's.
            let Some(slot) = self.executor.live.get_mut(&id) else { continue };
            slot.waker.queued.store(false, Ordering::Relaxed);
            self.trace.note(self.clock.now(), Event::Polled(id));
            let waker = Arc::clone(&slot.waker);
            match std::mem::replace(&mut slot.work, Work::Running) {
                Work::Root => {
                    slot.work = Work::Root;
                    return Next::Root(id, waker.into());
                }
                Work::Waiting(future) => return Next::Task(Task { id, future, waker }),
                Work::Running => {}
            }
        }
    }

    pub(super) fn put_back(&mut self, task: Task) {
        if let Some(slot) = self.executor.live.get_mut(&task.id) {
            slot.work = Work::Waiting(task.future);
        }
    }

    pub(super) fn end_task(&mut self, id: TaskId) {
        self.trace.note(self.clock.now(), Event::Ended(id));
        let executor = &mut self.executor;
        executor.ended.retain(|waker| waker.strong_count() > 0);
        executor.ended.extend(executor.live.remove(&id).map(|slot| Arc::downgrade(&slot.waker)));
    }

    /// Takes all tasks out, for the caller to drop without the lock.
    pub(super) fn take_tasks(&mut self) -> BTreeMap<TaskId, Slot> {
        std::mem::take(&mut self.executor.live)
    }
}
