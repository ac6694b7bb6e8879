//! What std would have brought: an entry point, an allocator, a panic handler. On a device these
//! are the board's; here they are those of the C library, so that the program runs anywhere.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_int, c_void};
use core::panic::PanicInfo;

#[link(name = "c")]
unsafe extern "C" {
    fn aligned_alloc(align: usize, size: usize) -> *mut c_void;
    fn free(pointer: *mut c_void);
    fn abort() -> !;
}

struct C;

// SAFETY: `aligned_alloc` gives null or fresh memory of that size and alignment, and `free` takes
// back any pointer that came from it. Neither unwinds.
unsafe impl GlobalAlloc for C {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // C requires the size to be a multiple of the alignment.
        let layout = layout.pad_to_align();
        // SAFETY: the alignment of a `Layout` is a power of two, and its size is not zero by the
        // caller's promise.
        unsafe { aligned_alloc(layout.align(), layout.size()).cast() }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, _: Layout) {
        // SAFETY: the pointer came from `alloc`, by the caller's promise.
        unsafe { free(pointer.cast()) }
    }
}

#[global_allocator]
static ALLOCATOR: C = C;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: `abort` has no preconditions.
    unsafe { abort() }
}

// SAFETY: the C library's start-up code calls exactly this symbol, with this signature.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const u8) -> c_int {
    match crate::run() {
        Ok(()) => 0,
        Err(step) => step as c_int,
    }
}

// The prebuilt `alloc` was compiled to unwind, and its tables name this symbol. Nothing unwinds
// with `panic = "abort"`, so nothing calls it; without optimization the linker still wants it.
// SAFETY: no other definition exists, since std, which has the real one, is absent.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// The precompiled `alloc` names it in its clean-up paths. Nothing unwinds in this program, so
/// whoever gets here has gone wrong.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    // SAFETY: `abort` takes nothing and does not return.
    unsafe { abort() }
}
