// The code of a stand-in. It starts the wrapper with a flag, the stand-in's own path, and the stand-in's arguments. If
// the wrapper is gone, it starts the program beside it. The environment is passed on unchanged. Linux.
//
// These 256 bytes are followed by the flag at 256, the relative path of the program at 272, and the wrapper's path at
// 288.

    mov x19, sp                     // argc, then argv
    ldr x20, [x19]
    add x21, x19, x20, lsl #3
    add x21, x21, #16               // envp
    mov x9, x21
1:  ldr x0, [x9], #8
    cbnz x0, 1b
2:  ldp x0, x22, [x9], #16          // the auxiliary vector
    cbz x0, 7f
    cmp x0, #31                     // AT_EXECFN: the path of this file
    b.ne 2b

    add x2, x20, #5                 // wrapper, flag, path, argv
    bic x2, x2, #1
    sub x2, sp, x2, lsl #3
    mov sp, x2
    adr x0, .Lxcache_start + 288
    adr x3, .Lxcache_start + 256
    mov x4, sp
    stp x0, x3, [x4], #16
    str x22, [x4], #8
    add x5, x19, #8
3:  ldr x6, [x5], #8
    str x6, [x4], #8
    cbnz x6, 3b
    mov x1, sp
    mov x2, x21
    mov x8, #221                    // execve
    svc #0

    sub sp, sp, #4096               // the directory of this file, and the relative path
    sub sp, sp, #256
    mov x4, sp
    mov x5, x22
    mov x7, x4
4:  ldrb w6, [x5], #1
    strb w6, [x4], #1
    cmp w6, #47
    csel x7, x4, x7, eq
    cbnz w6, 4b
    adr x5, .Lxcache_start + 272
5:  ldrb w6, [x5], #1
    strb w6, [x7], #1
    cbnz w6, 5b
    mov x0, sp
    add x1, x19, #8
    mov x2, x21
    mov x8, #221
    svc #0
7:  mov x0, #127
    mov x8, #93                     // exit
    svc #0
