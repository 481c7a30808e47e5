# The code of a stand-in. It starts the wrapper with a flag, the stand-in's own path, and the stand-in's arguments. If
# the wrapper is gone, it starts the program beside it. The environment is passed on unchanged. Intel syntax, Linux.
#
# These 256 bytes are followed by the flag at 256, the relative path of the program at 272, and the wrapper's path at
# 288.

    mov r12, rsp                    # argc, then argv
    mov rax, [r12]
    lea r13, [r12 + rax*8 + 16]     # envp
    mov rbx, r13
1:  mov rax, [rbx]
    add rbx, 8
    test rax, rax
    jnz 1b
2:  mov rax, [rbx]                  # the auxiliary vector
    test rax, rax
    jz 7f
    cmp rax, 31                     # AT_EXECFN
    je 3f
    add rbx, 16
    jmp 2b
3:  mov rbp, [rbx + 8]              # the path of this file

    mov rcx, [r12]                  # wrapper, flag, path, argv
    lea rdx, [rcx*8 + 40]
    sub rsp, rdx
    and rsp, -16
    lea rax, [rip + .Lxcache_start + 288]
    mov [rsp], rax
    lea rdx, [rip + .Lxcache_start + 256]
    mov [rsp + 8], rdx
    mov [rsp + 16], rbp
    lea rsi, [r12 + 8]
    lea rdi, [rsp + 24]
    inc rcx
    rep movsq
    mov rdi, rax
    mov rsi, rsp
    mov rdx, r13
    mov eax, 59                     # execve
    syscall

    sub rsp, 4352                   # the directory of this file, and the relative path
    mov rdi, rsp
    mov rsi, rbp
    mov rdx, rdi
4:  lodsb
    stosb
    cmp al, 47
    cmove rdx, rdi
    test al, al
    jnz 4b
    mov rdi, rdx
    lea rsi, [rip + .Lxcache_start + 272]
5:  lodsb
    stosb
    test al, al
    jnz 5b
    mov rdi, rsp
    lea rsi, [r12 + 8]
    mov rdx, r13
    mov eax, 59
    syscall
7:  mov edi, 127
    mov eax, 60                     # exit
    syscall
